"""The operator's console: a web page on this computer; MAVLink to the drone, pictures from it."""
