"""Many runs: a table becomes trials, trials become processes, results become a table and a page."""
