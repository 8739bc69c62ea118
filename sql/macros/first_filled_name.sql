-- The name of the first of several columns that says something, for records with one column a
-- cause: first_filled_name([gpu, network], ['gpu', 'network']). Null where none does.
CREATE OR REPLACE MACRO first_filled_name(texts, names) AS
    names[list_position(list_transform(texts, lambda said: coalesce(trim(said::VARCHAR) <> '', false)), true)];
