// Classify images with model.onnx in a web page.
//
// Copy the folder `dist` of the npm package onnxruntime-web into the folder of the page. In a module script:
//
//     import * as ort from "./dist/ort.wasm.min.mjs";
//     import { load } from "./predict.js";
//     const classifier = await load(ort, "model.onnx");
//     const found = await classifier.predict(file); // a File of an <input>, or any Blob
//     const [[name, probability]] = found.probabilities; // all classes, the largest probability first
//
// The model prepares the images. The browser decodes them: upright, in sRGB, with 8 bits for each colour.

const WEIGHTS = { red: [65536, 0, 0], green: [0, 65536, 0], blue: [0, 0, 65536], grey: [19595, 38470, 7471] };

export async function load(ort, url) {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const card = await (await fetch(new URL("card.json", new URL(url, location.href)))).json();
  const session = await ort.InferenceSession.create(bytes);

  async function predict(blob) {
    const pixels = await decode(blob, card.input.background);
    const found = await session.run({ image: toTensor(ort, pixels, card.input) });
    const pairs = Array.from(found.probabilities.data, (value, index) => [card.classes[index], value]);
    const probabilities = pairs.sort((a, b) => b[1] - a[1]);
    const among = Object.entries(card.sets).map(([share, top]) => [share, within(top, probabilities)]);
    const limits = found.p_value && { p_value: found.p_value.data[0], none_of_these: !!found.none_of_these.data[0] };
    return { probabilities, among: Object.fromEntries(among), ...limits };
  }

  return { predict, classes: card.classes };
}

// Decode an image, with transparent pixels over the background that the classifier was trained with.
async function decode(blob, background) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { colorSpace: "srgb" });
  const level = Math.round(255 * background);
  context.fillStyle = `rgb(${level} ${level} ${level})`;
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

// Return the names of the classes of a set with a coverage.
const within = (top, pairs) => pairs.filter(([, value]) => 1 - value <= top).map(([name]) => name);

// Convert red, green, blue and opacity of 8 bits to the channels and the depth of the network (weights in 65,536ths).
function toTensor(ort, { data, width, height }, { channels, maximum }) {
  const kind = { 255: "uint8", 65535: "uint16" }[maximum] ?? "float32";
  const Kind = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array }[kind];
  const weights = channels.map((name) => WEIGHTS[name]);
  const image = new Kind(width * height * channels.length);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    weights.forEach(([red, green, blue], channel) => {
      const sum = data[4 * pixel] * red + data[4 * pixel + 1] * green + data[4 * pixel + 2] * blue;
      image[pixel * channels.length + channel] = ((sum + 32768) >>> 16) * (maximum / 255);
    });
  }
  return new ort.Tensor(kind, image, [1, height, width, channels.length]);
}
