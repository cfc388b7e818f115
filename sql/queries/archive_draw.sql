-- A partition of the archive by lot, that has rows and was not deleted.
select
    p.relation,
    p.partition_start
from (
    select distinct on (a.relation, a.partition_start)
        a.relation,
        a.partition_start,
        a.row_count
    from archive_proofs as a
    where
        (%(relation)s::text is null or a.relation = %(relation)s)
        and (%(partition_start)s::date is null or a.partition_start = %(partition_start)s)
    order by a.relation asc, a.partition_start asc, a.proof_id desc
) as p
left join partition_tiers as t on p.relation = t.relation and p.partition_start = t.partition_start
where p.row_count > 0 and coalesce(t.tier, '') <> 'deleted'
order by random()
limit 1;
