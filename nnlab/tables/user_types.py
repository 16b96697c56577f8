"""The types that a user may give a column, by `data.types.COLUMN=TYPE`."""

# How a user says the order of day and month, and how a sentence does.
DAY_MONTH_ORDERS = {"dmy": "day first", "mdy": "month first"}
MARK_OF_DECIMAL = {"auto": "auto", "point": ".", "comma": ","}  # of data.decimal
# As in `Column`, but for text: that is not an input, and its n-grams are.
USER_TYPES = ("number", "category", "boolean", "date", *DAY_MONTH_ORDERS, "ngrams", "identifier")
