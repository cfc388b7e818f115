-- Whether the database holds all of an instrument in some tables' partitions, of which the first days lie in a window.
select
    not exists (
        select from partition_tiers as t
        where
            t.relation = any(%(relations)s) and t.partition_start >= %(first_partition)s and t.partition_start <= %(last_partition)s
            and t.tier in ('cold', 'deleted') and %(instrument)s <> all(t.restored)
    ) as is_here;
