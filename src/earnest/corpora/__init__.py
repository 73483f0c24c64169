"""One file per public corpus, plus anyone's own folder and an embedded synthetic one."""
