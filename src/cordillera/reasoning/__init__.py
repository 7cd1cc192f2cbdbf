"""Why: reasoning traces and the sentences that state them."""
