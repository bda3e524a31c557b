"""`report.html`: what a run says, in one file that opens without a network or a server."""
