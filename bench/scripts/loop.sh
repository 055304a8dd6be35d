# A shell at work: arithmetic, expansions, a case, a function, a here-less string built up; no other program.
count=$1 sum=0 text=
square() {
	result=$(($1 * $1 % 1009))
}
while [ "$count" -gt 0 ]; do
	square "$count"
	sum=$(((sum * 31 + result) % 1000003))
	case $result in
	*[13579]) text=${text%????????????????}o$result ;;
	*0) text=z$text ;;
	*) text=${text#??}e ;;
	esac
	[ ${#text} -lt 200 ] || text=${text#"${text%?????}"}
	set -- "$text" "$sum" $result
	[ "$#" = 3 ] || exit 1
	count=$((count - 1))
done
echo "$sum $text"
