-- What one part of a host list stands for: `[001-003,7]` its numbers, each as wide as the first of
-- its range is written; any other text itself. For hostlist(), which has looked at the grammar.
CREATE OR REPLACE MACRO hostlist_choices(part) AS
    CASE
        WHEN starts_with(part, '[') THEN flatten(list_transform(
            string_split(part[2:-2], ','),
            lambda item: list_transform(
                range(split_part(item, '-', 1)::BIGINT, string_split(item, '-')[-1]::BIGINT + 1),
                lambda number: lpad(
                    number::VARCHAR,
                    greatest(len(split_part(item, '-', 1)), len(number::VARCHAR))::INTEGER,
                    '0'
                )
            )
        ))
        ELSE [part]
    END;
