"""Files in and out: maps, masks, results; imports no mm* package."""
