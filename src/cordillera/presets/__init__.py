"""Named jobs as functions: a dataclass of choices in, a folder of results out. A module a job; the verbs call them."""
