"""What `rookery` can do, one module for each kind of thing."""
