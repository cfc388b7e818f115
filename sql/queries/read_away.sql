-- The tables of which the database does not hold all partitions.
select distinct t.relation
from partition_tiers as t
where t.tier in ('cold', 'deleted');
