"""What a person sees before they sign: pictures of the pages, and what the document hides."""
