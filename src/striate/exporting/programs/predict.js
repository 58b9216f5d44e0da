// Classify images with model.onnx in a web page.
//
// Copy the folder `dist` of the npm package onnxruntime-web into the folder of the page. In a module script:
//
//     import * as ort from "./dist/ort.wasm.min.mjs";
//     import { load } from "./predict.js";
//     const classifier = await load(ort, "model.onnx");
//     const [[name, probability]] = await classifier.predict(file); // a File of an <input>, or any Blob
//
// The model prepares the images. The browser decodes them: upright, in sRGB, with 8 bits for each colour.

const LUMA = [19595, 38470, 7471]; // of red, green and blue in grey, in 65,536ths

export async function load(ort, url) {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const card = await (await fetch(new URL("card.json", new URL(url, location.href)))).json();
  const session = await ort.InferenceSession.create(bytes);

  async function predict(blob) {
    const pixels = await decode(blob, card.input.background);
    const image = toChannels(pixels, card.input.channels.length, card.input.maximum);
    const shape = [1, pixels.height, pixels.width, card.input.channels.length];
    const found = await session.run({ image: new ort.Tensor(kind(card.input.maximum), image, shape) });
    const values = Array.from(found.probabilities.data);
    return values.map((value, index) => [card.classes[index], value]).sort((a, b) => b[1] - a[1]);
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

function kind(maximum) {
  return { 255: "uint8", 65535: "uint16" }[maximum] ?? "float32";
}

// Convert red, green, blue and opacity of 8 bits to the channels and the depth of the network.
function toChannels({ data, width, height }, channels, maximum) {
  const Kind = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array }[kind(maximum)];
  const image = new Kind(width * height * channels);
  const ratio = maximum / 255;
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const colours = [data[4 * pixel], data[4 * pixel + 1], data[4 * pixel + 2]];
    const grey = (colours[0] * LUMA[0] + colours[1] * LUMA[1] + colours[2] * LUMA[2] + 32768) >>> 16;
    for (let channel = 0; channel < channels; channel += 1) {
      image[pixel * channels + channel] = (channels === 1 ? grey : colours[channel]) * ratio;
    }
  }
  return image;
}
