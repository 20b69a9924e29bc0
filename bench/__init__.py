"""What kitestring costs, as ratios to the C floor in the same run. ``python -m bench``, see README.md."""
