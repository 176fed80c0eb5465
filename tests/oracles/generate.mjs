// llama.cpp's greedy continuation: generate.mjs MODEL.gguf COUNT ID... prints COUNT ids.
import {getLlama} from "node-llama-cpp";

const [path, count, ...prompt] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: path});
const context = await model.createContext({contextSize: 256});
const sequence = context.getSequence();
const ids = [];
for await (const token of sequence.evaluate(prompt.map(Number), {temperature: 0, yieldEogToken: true})) {
  ids.push(token);
  if (ids.length >= Number(count)) break;
}
console.log(JSON.stringify(ids));
process.exit(0);
