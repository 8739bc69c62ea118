-- The first of several texts that says something: first_filled([gpu, network, cooling]). Null and
-- blank say nothing; null where none does.
CREATE OR REPLACE MACRO first_filled(texts) AS
    list_filter(texts, lambda said: trim(said::VARCHAR) <> '')[1];
