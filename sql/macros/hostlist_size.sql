-- How many hosts a host list names, doubles counted; a range that runs backwards is an error. For
-- hostlist(), which asks before it writes them down.
CREATE OR REPLACE MACRO hostlist_size(hosts) AS
    list_sum(list_transform(
        regexp_extract_all(hosts, '(?:[^\[\],]|\[[^\]]*\])+'),
        lambda word: coalesce(list_product(list_transform(
            regexp_extract_all(word, '\[([^\]]*)\]', 1),
            lambda inside: list_sum(list_transform(
                string_split(inside, ','),
                lambda item: CASE
                    WHEN string_split(item, '-')[-1]::BIGINT < split_part(item, '-', 1)::BIGINT
                        THEN error('range ' || item || ' runs backwards')
                    ELSE string_split(item, '-')[-1]::DOUBLE - split_part(item, '-', 1)::DOUBLE + 1
                END
            ))
        )), 1)
    ));
