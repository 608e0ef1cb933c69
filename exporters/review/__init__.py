"""What people do with policies that are there already: relax them, compare them, refine them."""
