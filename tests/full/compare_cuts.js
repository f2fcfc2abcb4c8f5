// Runs a reference, its cut and mutants of the cut through ONNX Runtime on the same random inputs, several of them, and
// prints, as JSON, by model the largest difference of any tensor at its kept indices, relative to the tensor's largest
// value. One input alone leaves channels closed by their ReLU, and what is behind them unseen. `silent` is a mutant whose
// wrong slice is only ever multiplied with zeros.
// Usage: node compare_cuts.js FOLDER 'JSON of {"input": {"dtype": "float32", "shape": [1, 3], "below": 10}}' NAME...
const fs = require('fs');
const path = require('path');
const runtime = require('onnxruntime-node');

// Mulberry32: the same inputs everywhere.
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Channels of images differ in their mean too: what is pooled over noise alone is always the same.
function shift(data, pixels, draw) {
  for (let from = 0; from < data.length; from += pixels) {
    const offset = draw() * 4 - 2;
    for (let i = from; i < from + pixels; i++) data[i] += offset;
  }
}

const INPUTS = [
  { seed: 7, scale: 1 },
  { seed: 8, scale: 2 },
  { seed: 9, scale: 4 },
];

function makeInputs(wanted, { seed, scale }) {
  const draw = random(seed);
  const feeds = {};
  for (const [name, { dtype, shape, below }] of Object.entries(wanted)) {
    const count = shape.reduce((a, b) => a * b, 1);
    const whole = dtype === 'int64';
    const data = whole ? new BigInt64Array(count) : new Float32Array(count);
    for (let i = 0; i < count; i++) data[i] = whole ? BigInt(Math.floor(draw() * below)) : draw() * 4 - 2;
    if (shape.length === 4) shift(data, count / shape[0] / shape[1], draw);
    for (let i = 0; i < count && !whole; i++) data[i] *= scale;
    feeds[name] = new runtime.Tensor(dtype, data, shape);
  }
  return feeds;
}

// By input.
async function outputs(file, inputs) {
  const session = await runtime.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const results = [];
  for (const feeds of inputs) results.push(await session.run(feeds));
  await session.release();
  return results;
}

// The largest difference over the kept elements, relative; throws when the shapes do not fit.
function difference(name, whole, cut, axes) {
  const rank = whole.dims.length;
  const kept = whole.dims.map((size, axis) => axes[axis] || Array.from({ length: size }, (_, i) => i));
  if (String(kept.map((list) => list.length)) !== String(cut.dims))
    throw new Error(`${name}: ${cut.dims} where ${kept.map((list) => list.length)} are kept of ${whole.dims}`);
  const index = new Array(rank).fill(0);
  const strides = whole.dims.map((_, axis) => whole.dims.slice(axis + 1).reduce((a, b) => a * b, 1));
  let worst = 0;
  let scale = 1e-30;
  for (let i = 0; i < cut.data.length; i++) {
    let at = 0;
    for (let axis = 0; axis < rank; axis++) at += strides[axis] * kept[axis][index[axis]];
    const delta = Math.abs(whole.data[at] - cut.data[i]);
    if (!(delta <= worst)) worst = Number.isNaN(delta) ? Infinity : delta;
    scale = Math.max(scale, Math.abs(whole.data[at]));
    for (let axis = rank - 1; axis >= 0 && ++index[axis] === kept[axis].length; axis--) index[axis] = 0;
  }
  return worst / scale;
}

// Is the channel nothing but zeros?
function isClosed(tensor, channel) {
  const size = tensor.dims.slice(2).reduce((a, b) => a * b, 1);
  for (let n = 0; n < tensor.dims[0]; n++) {
    const from = (n * tensor.dims[1] + channel) * size;
    if (tensor.data.subarray(from, from + size).some((value) => value !== 0)) return false;
  }
  return true;
}

function isSilent(results, met) {
  if (!met || !results[0][met.tensor]) return false;
  return results.every((result) => met.channels.every((channel) => isClosed(result[met.tensor], channel)));
}

async function main(folder, wanted, names) {
  const kept = JSON.parse(fs.readFileSync(path.join(folder, 'kept.json')));
  const met = JSON.parse(fs.readFileSync(path.join(folder, 'met.json')));
  const inputs = INPUTS.map((kind) => makeInputs(wanted, kind));
  const whole = await outputs(path.join(folder, 'reference.onnx'), inputs);
  const right = await outputs(path.join(folder, 'cut.onnx'), inputs);
  const report = {};
  for (const name of ['cut', ...names]) {
    const cut = name === 'cut' ? right : await outputs(path.join(folder, name + '.onnx'), inputs);
    report[name] = { worst: 0, tensor: '', tensors: Object.keys(kept).length, silent: isSilent(right, met[name]) };
    for (const [tensor, axes] of Object.entries(kept))
      for (const i in inputs) {
        const delta = difference(tensor, whole[i][tensor], cut[i][tensor], axes);
        if (delta > report[name].worst) Object.assign(report[name], { worst: delta, tensor });
      }
  }
  console.log(JSON.stringify(report));
}

main(process.argv[2], JSON.parse(process.argv[3]), process.argv.slice(4)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
