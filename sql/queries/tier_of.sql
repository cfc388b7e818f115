-- The tier of a partition that is no longer hot, and the instruments that were brought back; no row where it is hot.
select
    t.tier,
    t.restored
from partition_tiers as t
where t.relation = %(relation)s and t.partition_start = %(partition_start)s;
