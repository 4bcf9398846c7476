"""Answers questions about one picture at a time."""

import torch
from PIL import Image
from torch import nn


class LaVITforUnderstanding(nn.Module):
    @torch.no_grad()
    def predict_answers(self, samples, prompt="Question: {} Answer:"):
        pixels = self.processer(Image.open(samples["image"]).convert("RGB"))[None]
        (question,) = samples["text_input"]
        ids = self.llama_tokenizer(prompt.format(question), return_tensors="pt", add_special_tokens=False).input_ids
        embed = self.llama_model.get_input_embeddings()
        begin, end = embed(torch.tensor([[32000], [32001]]))
        (image,) = self.visual_tokenizer.encode_features(pixels)
        row = torch.cat([begin, image, end, embed(ids[0])])[None]
        made = self.llama_model.generate(inputs_embeds=row, attention_mask=torch.ones(row.shape[:2], dtype=torch.long))
        return self.llama_tokenizer.batch_decode(made)
