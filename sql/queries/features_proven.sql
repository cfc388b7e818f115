-- Partitions of some tables that the database holds and the archive too, as they are now by the log, of which the first days lie in a
-- window; with the files of the last proof of each.
select
    p.relation,
    p.partition_start,
    p.proof_id,
    p.files
from (
    select distinct on (a.relation, a.partition_start)
        a.relation,
        a.partition_start,
        a.proof_id,
        a.files,
        a.log_mark
    from archive_proofs as a
    where a.relation = any(%(relations)s) and a.partition_start >= %(first_partition)s and a.partition_start <= %(last_partition)s
    order by a.relation asc, a.partition_start asc, a.proof_id desc
) as p
inner join archived_relations() as r on p.relation = r.relation
left join partition_tiers as t on p.relation = t.relation and p.partition_start = t.partition_start
where
    coalesce(t.tier, 'warm') = 'warm'
    and p.log_mark = (
        select coalesce(max(d.last_id), 0) from invalidation_days as d
        where d.relation = any(r.follows) and d.day = p.partition_start
    )
order by p.relation, p.partition_start;
