"""Where training samples come from: image pairs with synthetic motion, and simulated flights."""
