-- Rows of a hypertable by the planner's statistics.
select approximate_row_count(%(table)s::regclass) as row_count;
