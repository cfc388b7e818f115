-- Every partition that is no longer hot, and what it took while it was.
select
    t.relation,
    t.partition_start,
    t.tier,
    t.row_count,
    t.size_bytes
from partition_tiers as t
order by 1, 2;
