"""Tables become files that others read: Parquet on S3, CSV on GCS, with manifests, revisions and change lists.

What belongs here: which rows a file holds, its bytes, and how a revision is published. What does not: moving objects
(``storage.objects``) and computing the tables.
"""
