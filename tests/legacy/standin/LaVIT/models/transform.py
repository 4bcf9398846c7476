"""Pixels of a picture."""

from torchvision import transforms


class LaVITImageProcessor:
    def __init__(self, image_size=224):
        self.transform = transforms.Compose([transforms.Resize((image_size, image_size)), transforms.ToTensor()])

    def __call__(self, item):
        return self.transform(item)
