-- The hosts of a Slurm host list: hostlist('gpu[001-004,7]') is a list of five names; null gives
-- null. What is no host list, or names more than a million, is an error that refuses its record.
-- The same as transforms/hostlist.py, case for case.
CREATE OR REPLACE MACRO hostlist(hosts) AS
    CASE
        WHEN NOT regexp_full_match(
            hosts::VARCHAR,
            '(?:[^\[\],\s\v\x1c-\x1f\x85\p{Z}]|\[[0-9]{1,18}(?:-[0-9]{1,18})?(?:,[0-9]{1,18}(?:-[0-9]{1,18})?)*\])+(?:,(?:[^\[\],\s\v\x1c-\x1f\x85\p{Z}]|\[[0-9]{1,18}(?:-[0-9]{1,18})?(?:,[0-9]{1,18}(?:-[0-9]{1,18})?)*\])+)*'
        ) THEN error('no host list: ' || left(hosts::VARCHAR, 60))
        WHEN hostlist_size(hosts::VARCHAR) > 1e6
            THEN error('more than 1,000,000 hosts in ' || left(hosts::VARCHAR, 60))
        ELSE list_transform(
            [
                flatten(list_transform(
                    regexp_extract_all(hosts::VARCHAR, '(?:[^\[\],]|\[[^\]]*\])+'),
                    lambda word: list_reduce(
                        list_transform(
                            regexp_extract_all(word, '\[[^\]]*\]|[^\[]+'),
                            lambda part: hostlist_choices(part)
                        ),
                        lambda begun, choices: flatten(list_transform(
                            begun,
                            lambda start: list_transform(choices, lambda choice: start || choice)
                        )),
                        ['']
                    )
                ))
            ],
            lambda named: CASE
                WHEN len(list_distinct(named)) = len(named) THEN named
                ELSE list_transform(
                    list_sort(list_transform(
                        list_distinct(named),
                        lambda host: {'nth': list_position(named, host), 'host': host}
                    )),
                    lambda one: one.host
                )
            END
        )[1]
    END;
