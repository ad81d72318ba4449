"""The nouns the scripts are made of. Imports run one way: scripts -> weatherman -> paths, config_loader."""
