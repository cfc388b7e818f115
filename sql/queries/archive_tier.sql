-- The tier of a partition that is no longer hot.
select t.tier
from partition_tiers as t
where t.relation = %(relation)s and t.partition_start = %(partition_start)s;
