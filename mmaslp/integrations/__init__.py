"""The toolkits that the package plugs into, one module or folder each."""
