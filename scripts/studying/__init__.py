"""A study of which results people like: pictures of candidates, blind sheets, counted votes."""
