"""What everything else is said in: errors, values, policies, scopes and clocks. Knows nobody."""
