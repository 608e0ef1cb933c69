/* benign: calls of the 32-bit table from a 64-bit program. usage: compat mount | trace | module | memory */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
static long low(long n,long a,long b,long c,long d,long e){ long r; __asm__ volatile("int $0x80":"=a"(r):"a"(n),"b"(a),"c"(b),"d"(c),"S"(d),"D"(e):"memory","r8","r9","r10","r11"); return (int)r; }
int main(int c,char**v){ char*m=mmap(0,4096,3,MAP_PRIVATE|MAP_ANONYMOUS|MAP_32BIT,-1,0); const char*w=c>1?v[1]:"mount";
 if(!strcmp(w,"mount")){ strcpy(m,"none"); strcpy(m+64,"/mnt"); strcpy(m+128,"tmpfs"); printf("%ld\n",low(21,(long)m,(long)(m+64),(long)(m+128),0,0)); }
 else if(!strcmp(w,"trace")) printf("%ld\n",low(26,0,0,0,0,0));
 else if(!strcmp(w,"module")) printf("%ld\n",low(128,(long)m,4,(long)(m+64),0,0));
 else printf("%ld\n",low(125,(long)m,4096,7,0,0)); return 0; }
