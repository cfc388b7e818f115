-- When each partition of some relations was last read back whole and found as it was proven.
select
    r.relation,
    r.partition_start,
    max(r.at) as scrubbed_at
from retention_log as r
where
    r.action = 'scrub' and r.relation = any(%(relations)s) and r.partition_start is not null and cardinality(r.reasons) = 0
group by r.relation, r.partition_start;
