// Runs a model through ONNX Runtime on constant inputs and prints the shapes of its outputs as JSON.
// Usage: node output_shapes.js MODEL 'JSON of {"input": {"dtype": "float32", "shape": [1, 3]}}'
const runtime = require('onnxruntime-node');

const ARRAYS = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, bool: Uint8Array };
const ONE = { float32: 0.5, int64: 1n, int32: 1, bool: 1 };

async function main(path, inputs) {
  const session = await runtime.InferenceSession.create(path, { logSeverityLevel: 3 });
  const feeds = {};
  for (const [name, { dtype, shape }] of Object.entries(inputs)) {
    const count = shape.reduce((a, b) => a * b, 1);
    feeds[name] = new runtime.Tensor(dtype, new ARRAYS[dtype](count).fill(ONE[dtype]), shape);
  }
  const results = await session.run(feeds);
  const shapes = {};
  for (const name of session.outputNames) shapes[name] = results[name].dims;
  console.log(JSON.stringify(shapes));
}

main(process.argv[2], JSON.parse(process.argv[3])).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
