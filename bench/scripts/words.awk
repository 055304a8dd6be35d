# Words counted, fields cut and put together, over a text given several times.
{
	for (i = 1; i <= NF; i++) {
		w = tolower($i)
		gsub(/[^a-z]/, "", w)
		count[w]++
		length_of[length(w)] += NR % 7
	}
	if ($2 ~ /^[a-m]+$/)
		line = substr(line $1 ":" $NF, length($3))
}
END {
	for (w in count)
		sum += count[w] * length(w)
	for (n in length_of)
		sum += n * length_of[n]
	printf "%d %d %d\n", NR, sum, length(line)
}
