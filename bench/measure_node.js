// Times a model through ONNX Runtime's Node binding, as `onnx-latency measure` does through the library: one thread,
// warm-up, the median of single runs in milliseconds. Usage: node measure_node.js MODEL RUNS INPUT 1,3,224,224
const runtime = require('onnxruntime-node');

const WARM_UP = 3;

async function main(path, runs, input, shape) {
  const session = await runtime.InferenceSession.create(path, {
    intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all',
  });
  const count = shape.reduce((a, b) => a * b, 1);
  const feeds = { [input]: new runtime.Tensor('float32', Float32Array.from({ length: count }, Math.random), shape) };
  const times = [];
  for (let i = -WARM_UP; i < runs; i++) {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    if (i >= 0) times.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  times.sort((a, b) => a - b);
  console.log(times[times.length >> 1]);
}

main(process.argv[2], Number(process.argv[3]), process.argv[4], process.argv[5].split(',').map(Number));
