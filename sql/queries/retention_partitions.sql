-- Every partition of some relations that the log, the proofs or the tiers know of, with its tier; its days are given by the grain.
select
    k.relation,
    k.partition_start,
    t.tier,
    t.restored_until,
    coalesce(cardinality(t.restored), 0) as restored
from (
    select
        u.relation,
        case when u.grain = 'month' then date_trunc('month', d.day)::date else d.day end as partition_start
    from unnest(%(relations)s::text[], %(grains)s::text[]) as u (relation, grain)
    inner join invalidation_days as d on u.relation = d.relation
    union distinct
    select
        p.relation,
        p.partition_start
    from archive_proofs as p
    where p.relation = any(%(relations)s)
    union distinct
    select
        w.relation,
        w.partition_start
    from partition_tiers as w
    where w.relation = any(%(relations)s)
) as k
left join partition_tiers as t on k.relation = t.relation and k.partition_start = t.partition_start
order by k.partition_start, k.relation;
