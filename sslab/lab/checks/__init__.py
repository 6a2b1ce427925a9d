"""What `sslab.lab.check` is made of: the engine, and one declaration for each function."""
