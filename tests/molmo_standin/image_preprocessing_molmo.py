"""A stand-in for Molmo's published image processor: a picture in 2 by 2 patches, and its halves too if it is wide."""

import numpy as np
from transformers.image_processing_utils import BaseImageProcessor


def resize_and_pad(image, desired_output_size):
    raise ModuleNotFoundError("No module named 'tensorflow'")


class MolmoImageProcessor(BaseImageProcessor):
    def multimodal_preprocess(
        self,
        images,
        tokens,
        image_idx,
        sequence_length,
        image_patch_token_id,
        image_col_token_id,
        image_start_token_id,
        image_end_token_id,
    ):
        (image,), (index,) = images, image_idx
        assert index == -1, "the published processor, too, puts a picture first"
        half = image.shape[1] // 2
        crops = [image, image[:, :half], image[:, half:]] if image.shape[1] > image.shape[0] else [image]
        pixels, masks, ids, places = [], [], [image_start_token_id], []
        for crop in crops:
            framed, mask = resize_and_pad(crop, (28, 28))
            patches = framed.reshape(2, 14, 2, 14, 3).swapaxes(1, 2).reshape(4, -1)
            pixels.append(patches)
            masks.append(mask.reshape(2, 14, 2, 14).swapaxes(1, 2).reshape(4, -1).mean(1, dtype=np.float32))
            places.append([len(ids), len(ids) + 1, len(ids) + 3, -100])
            ids += [*2 * [image_patch_token_id], image_col_token_id, image_patch_token_id]
        return {
            "input_ids": np.concatenate([[*ids, image_end_token_id], tokens]).astype(np.int64),
            "images": np.stack(pixels),
            "image_masks": np.stack(masks),
            "image_input_idx": np.array(places),
        }
