"""Read tensors from files of other programs, by their names in the files."""

from striate.models.weights.files.reading import WeightsFile as WeightsFile
from striate.models.weights.files.reading import read_file as read_file
