"""Where data comes from: suppliers (one file each) and the provider that makes batches of them."""
