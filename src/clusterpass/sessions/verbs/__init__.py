"""What callers ask for, one file for each subject; each verb is a flow."""
