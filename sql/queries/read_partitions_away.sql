-- Partitions of some tables, of which the first days lie in a window, that the database does not hold, or not of all instruments; with
-- the files of the last proof of each.
select
    t.relation,
    t.partition_start,
    t.tier,
    t.restored,
    p.proof_id,
    p.files,
    t.row_count
from partition_tiers as t
left join lateral (
    select
        a.proof_id,
        a.files
    from archive_proofs as a
    where a.relation = t.relation and a.partition_start = t.partition_start
    order by a.proof_id desc
    limit 1
) as p on true
where
    t.relation = any(%(relations)s) and t.tier in ('cold', 'deleted')
    and (%(first_partition)s::date is null or t.partition_start >= %(first_partition)s)
    and (%(last_partition)s::date is null or t.partition_start <= %(last_partition)s)
order by t.relation, t.partition_start;
