"""Reading and writing: lists, maps, masks, volumes, tables; imports no mm* package."""
