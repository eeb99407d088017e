"""Programs of the part on data. Two parts have a chapter named images: here the folder is part of the name."""
