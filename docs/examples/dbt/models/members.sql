-- Who is in which cohort now, one row a membership.
select membership_key, cohort_id, subject_type, external_id, flockr_vid, entered_at, updated_at, date as as_of_date
from {{ source('murmuration', 'cohort_membership') }}
where is_member and date = (select max(date) from {{ source('murmuration', 'cohort_membership') }})
