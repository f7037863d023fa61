// Hugging Face's and OpenAI's clients for JavaScript: node_client.mjs BASE FOLDER, from a folder with node_modules.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [base, folder, modules] = process.argv.slice(2);
const require = createRequire(pathToFileURL(join(modules, "node_modules", "x.js")));
const { InferenceClient } = await import(pathToFileURL(require.resolve("@huggingface/inference")));
const OpenAI = (await import(pathToFileURL(require.resolve("openai")))).default;

const TEXT = "Wolfgang Schmidt moved from Berlin to London and loves it.";
const NAME = "local/smollm2-135m-instruct";
const at = (model) => new InferenceClient("hf_none").endpoint(`${base}/models/${model}`);
const blob = async (name, type) => new Blob([await readFile(join(folder, name))], { type });
const chat = { messages: [{ role: "user", content: "Say hello to Anna." }], max_tokens: 6, temperature: 0 };
const write = { inputs: "Once upon", parameters: { max_new_tokens: 6, do_sample: false } };
const openai = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
const minilm = at("local/minilm-l6-v2-int8");
const joined = async (parts, read) => {
  let text = "";
  for await (const part of parts) text += read(part) ?? "";
  return text;
};
const best = (found) => [found[0].label, found[0].score];

const calls = {
  sentiment: async () => best(await at("local/sentiment").textClassification({ inputs: TEXT })),
  zero_shot: async () =>
    (await at("local/zero-shot-minilm").zeroShotClassification({
      inputs: TEXT, parameters: { candidate_labels: ["travel", "cooking"] },
    })).map((one) => [one.label, one.score]),
  entities: async () =>
    (await at("local/entities-spacy-sm").tokenClassification({ inputs: TEXT })).map((one) => [one.word, one.entity_group]),
  vector: async () => (await minilm.featureExtraction({ inputs: TEXT })).flat(),
  vectors: async () => await minilm.featureExtraction({ inputs: [TEXT, "Hello"] }),
  similarity: async () =>
    await minilm.sentenceSimilarity({ inputs: { source_sentence: TEXT, sentences: ["Hello", "He moved"] } }),
  translation: async () => (await at("local/translation-en-pt").translation({ inputs: "The house is small." })).translation_text,
  speech: async () =>
    Buffer.from(await (await at("local/piper-joe").textToSpeech({ inputs: "Hello" })).arrayBuffer()).toString("hex").slice(0, 8),
  transcript: async () =>
    (await at("local/whisper-base").automaticSpeechRecognition({ data: await blob("speech.wav", "audio/wav") })).text,
  transcript_of_bytes: async () =>
    (await at("local/whisper-base").automaticSpeechRecognition({ data: await blob("speech.wav", "") })).text,
  image: async () => best(await at("local/efficientnet-lite0").imageClassification({ data: await blob("photo.jpg", "image/jpeg") })),
  print: async () => (await at("local/ocr-rapid").imageToText({ data: await blob("line.png", "image/png") })).generated_text,
  generation: async () => (await at(NAME).textGeneration(write)).generated_text,
  generation_stream: async () => await joined(at(NAME).textGenerationStream(write), (part) => part.token?.text ?? part.choices?.[0]?.text),
  chat: async () => (await at(NAME).chatCompletion(chat)).choices[0].message.content,
  chat_stream: async () => await joined(at(NAME).chatCompletionStream(chat), (part) => part.choices[0]?.delta.content),
  chat_openai: async () => (await openai.chat.completions.create({ model: NAME, ...chat })).choices[0].message.content,
  vector_openai: async () =>
    (await openai.embeddings.create({ model: "sentence-transformers/all-MiniLM-L6-v2", input: TEXT })).data[0].embedding,
};

const results = {};
const leftOut = (process.env.LEFT_OUT ?? "").split(" ");
for (const [name, call] of Object.entries(calls)) {
  if (leftOut.includes(name)) continue;
  try {
    results[name] = await call();
  } catch (error) {
    results[name] = { raised: error.name, words: `${error.message} ${JSON.stringify(error.httpResponse?.body ?? "")}`.slice(0, 600) };
  }
}
console.log(JSON.stringify(results));
