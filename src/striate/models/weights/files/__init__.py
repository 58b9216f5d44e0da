"""Read tensors from files of other programs, by the names that the files give them."""

from striate.models.weights.files.reading import WeightsFile as WeightsFile
from striate.models.weights.files.reading import read_file as read_file
